import cliProgress, { type MultiBar, type SingleBar } from 'cli-progress';
import { monotonicMs } from '../clock/time.js';
import type { CommandContext, Output } from './command-context.js';
import { dim, type Line, type LineStyle, renderLine } from './line.js';

/** How far something is. */
export interface BarState {
  /** What it is; shown to the left of the bar. */
  readonly label: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Shown to the right of the bar. */
  readonly note: string;
  /** It stands for all the others: without a terminal, a line now and then tells of it. */
  readonly isSummary?: boolean;
}

/** Where a command shows what happens: lines that stay, and below them bars that move, where there is a terminal. */
export interface Screen {
  /** @param indent columns by which a line that must be broken goes on; default 0 */
  print(line: Line, indent?: number): void;
  /** Shows a bar under this key, or takes it away. */
  bar(key: string, state: BarState | null): void;
  /** Takes all bars away, and gives the terminal back as it was. Lines may still be printed. */
  close(): void;
}

/** A line that is longer is hard to read on a wide terminal. */
const widestLine = 100;
const widestBar = 24;
const narrowestBar = 8;
/** Columns for the label, the percentage and the note. */
const besideBar = 60;
const usualColumns = 80;
const usualRows = 24;
const barsPerSecond = 10;
/** A log stays readable, and whoever watches it knows that something goes on. */
const signOfLifeMs = 10_000;
/** Lines kept free of bars, so that a failover can still be read above them. */
const rowsForLines = 6;

/** Opens the screen of a command on its standard output. */
export function openScreen(context: CommandContext, options: { readonly plain: boolean }): Screen {
  const { stdout, env } = context;
  const isTerminal = stdout.isTTY === true;
  const style: LineStyle = {
    colours: isTerminal && stdout.hasColors?.(env) === true,
    // Whoever greps wants one line per event.
    // The last column stays free: what is written there is gone when the rest of the row is cleared.
    width: isTerminal ? Math.min(stdout.columns ?? usualColumns, widestLine) - 1 : Infinity,
  };
  return isTerminal && env['TERM'] !== 'dumb' && !options.plain
    ? liveScreen(stdout, style)
    : plainScreen(stdout, style);
}

function plainScreen(stdout: Output, style: LineStyle): Screen {
  let toldAtMs = monotonicMs();
  const print = (line: Line, indent: number = 0): void => void stdout.write(`${renderLine(line, style, indent)}\n`);
  return {
    print,
    bar: (_key, state) => {
      if (state?.isSummary !== true || monotonicMs() - toldAtMs < signOfLifeMs) return;
      toldAtMs = monotonicMs();
      print([dim(`  ${state.note}`)]);
    },
    close: () => undefined,
  };
}

function liveScreen(stdout: Output, style: LineStyle): Screen {
  let region: MultiBar | null = null;
  const bars = new Map<string, SingleBar>();

  // A region without bars would leave its last bar on the screen: it exists only while there are some.
  function closeRegion(): void {
    region?.update();
    region?.stop();
    region = null;
    bars.clear();
  }

  function openRegion(): MultiBar {
    return (region ??= new cliProgress.MultiBar({
      stream: stdout,
      fps: barsPerSecond,
      format: (options, { progress }, payload: BarState) =>
        showBar(payload, cliProgress.Format.BarFormat(Math.max(0, Math.min(1, progress)), options), style),
      barsize: Math.min(widestBar, Math.max(narrowestBar, style.width - besideBar)),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      clearOnComplete: true,
      // Lines printed above push unchanged bars down: those have to be drawn anew as well.
      forceRedraw: true,
      hideCursor: true,
      gracefulExit: false,
    }));
  }

  return {
    print: (line, indent = 0) => {
      const text = renderLine(line, style, indent);
      // Each row is written over what a bar has left there.
      if (region === null) stdout.write(`${text}\n`);
      else region.log(`${text.replaceAll('\n', '\u001b[K\n')}\u001b[K\n`);
    },
    bar: (key, state) => {
      const bar = bars.get(key);
      if (state === null) {
        if (bar === undefined) return;
        bars.delete(key);
        if (bars.size === 0) closeRegion();
        else region?.remove(bar);
        return;
      }
      const total = Math.max(1, state.totalBytes);
      if (bar !== undefined) {
        bar.setTotal(total);
        bar.update(Math.min(total, state.doneBytes), state);
      } else if (bars.size < Math.max(1, (stdout.rows ?? usualRows) - rowsForLines)) {
        bars.set(key, openRegion().create(total, state.doneBytes, state));
      }
    },
    close: closeRegion,
  };
}

function showBar(payload: BarState, bar: string, style: LineStyle): string {
  const { label, doneBytes, totalBytes, note } = payload;
  const share = totalBytes === 0 ? 0 : Math.floor((doneBytes / totalBytes) * 100);
  return renderLine([label, ' ', bar, `${String(share).padStart(4)} %  ${note}`], { ...style, width: Infinity }, 0);
}
