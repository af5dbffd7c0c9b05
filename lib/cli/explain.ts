import { Command } from 'commander';
import { createPuller } from '../puller/create-puller.js';
import type { Explanation } from '../puller/explain.js';
import type { CommandContext } from './command-context.js';
import { dim, type Line, strong } from './line.js';
import { addRegistryFlags, readRegistryFlags, type RegistryFlags } from './registry-flags.js';
import { openScreen } from './screen.js';
import { tableLines } from './table.js';

interface ExplainFlags extends RegistryFlags {
  readonly operation?: string;
  readonly json?: true;
}

/** `pull-failover explain` */
export function explainCommand(context: CommandContext): Command {
  const command = new Command('explain')
    .summary('says whom a pull would ask, in which order and why')
    .description('Says whom a pull of this image would ask, in which order and why. Asks nobody: it needs no network.')
    .argument('<image>', 'the image, such as quay.io/team/app:1.2');
  addRegistryFlags(command)
    .option('--operation <kind>', 'what it is for, for the policies per kind in the configuration')
    .option('--json', 'print the plan as one JSON object')
    .addHelpText(
      'after',
      `
Example:
  pull-failover explain quay.io/team/app:1.2 --registry quay.io/team --registry docker.io/team`,
    )
    .action(async (image: string, flags: ExplainFlags) => {
      const { operation } = flags;
      const puller = createPuller(await readRegistryFlags(flags));
      try {
        const plan = await puller.explain(image, operation === undefined ? {} : { operation: { kind: operation } });
        if (flags.json === true) context.stdout.write(`${JSON.stringify(plan)}\n`);
        else print(context, plan);
      } finally {
        await puller.close();
      }
    });
  return command;
}

function print(context: CommandContext, plan: Explanation): void {
  const screen = openScreen(context, { plain: true });
  for (const line of planLines(plan)) screen.print(line, 2);
}

function planLines({ image, replicaSet, candidates, order, rememberedDigest }: Explanation): readonly Line[] {
  const rows = candidates.map(({ registry, repository, metadata, layers }) => [
    registry,
    repository,
    `${order.metadata.indexOf(registry) + 1}, ${metadata.replaceAll('-', ' ')}`,
    `${order.layers.indexOf(registry) + 1}, ${layers.replaceAll('-', ' ')}`,
  ]);
  return [
    [strong(image)],
    [dim(replicaSet === null ? 'in no replica set: its own registry alone is asked' : `replica set ${replicaSet}`)],
    [],
    ...tableLines(['registry', 'repository there', 'manifests', 'layers'], rows),
    [],
    [rememberedDigest === null ? dim('nothing is remembered of this tag') : `remembered: ${rememberedDigest}`],
  ];
}
