/** `npm run typings`: makes `typings/` anew from `lib/`. */
import { join } from 'node:path';
import { compilePackage, packageDirectory } from './packed-package.js';
import { rollUp, writeRollUp } from './roll-up.js';

const { files, complaints } = rollUp(join(await compilePackage(), 'dist'));
for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
if (complaints.length > 0) process.exitCode = 1;
else writeRollUp(files, join(packageDirectory, 'typings'));
