'use strict';
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

/** A process that is still there so long after its last test has something left open, and would stay for ever. */
const maxLingerMs = 30_000;

/** The reporter that people see, which also leaves `PASSES FAILURES` in the file named by its option `output`. */
module.exports = class TallyReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures } = this.stats;
      const tally = (lingering) => writeFileSync(options.reporterOptions.output, `${passes} ${failures + lingering}\n`);
      tally(0);
      setTimeout(() => {
        tally(1);
        const left = process.getActiveResourcesInfo().join(', ');
        process.stderr.write(`The tests have ended, and left something open: ${left}\n`);
        process.exit(1);
      }, maxLingerMs).unref();
    });
  }
};
