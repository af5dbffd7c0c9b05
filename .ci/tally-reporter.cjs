'use strict';
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

/** The reporter that people see, which also leaves `PASSES FAILURES` in the file named by its option `output`. */
module.exports = class TallyReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      writeFileSync(options.reporterOptions.output, `${this.stats.passes} ${this.stats.failures}\n`);
    });
  }
};
