import { expect } from 'chai';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import {
  parseTransferOptions,
  type TransferOptions,
  type TransferSettings,
} from '../../lib/failover/transfer-options.js';
import { openOptionBag } from '../../lib/policy/option-bag.js';

const mebibyte = 1_048_576;

function settingsOf(transfer?: unknown): TransferSettings {
  return parseTransferOptions(openOptionBag('', { transfer }, ['transfer']));
}

/** Options that are wrong, the key that the error names, and what it says of the value. */
type Wrong = readonly [options: unknown, key: string, says: RegExp];

const mistakes: readonly Wrong[] = [
  [7, '', /must be an object, got 7/],
  [{ connections: 4 }, 'connections', /is unknown \(value 4\)/],
  [{ connectionsPerBlob: 0 }, 'connectionsPerBlob', /at least 1 and at most 64, got 0/],
  [{ connectionsPerBlob: 65 }, 'connectionsPerBlob', /got 65/],
  [{ connectionsPerBlob: 1.5 }, 'connectionsPerBlob', /an integer.*got 1\.5/],
  [{ connectionsPerBlob: Infinity }, 'connectionsPerBlob', /got Infinity/],
  [{ maxConnections: 0 }, 'maxConnections', /at least 1 and at most 1024, got 0/],
  [{ maxConnections: 1_025 }, 'maxConnections', /got 1025/],
  [{ rangeBytes: 16_383 }, 'rangeBytes', /at least 16384, got 16383/],
  [{ windowBytes: 0 }, 'windowBytes', /at least 16384, got 0/],
  [{ maxWindowBytes: -1 }, 'maxWindowBytes', /at least 16384, got -1/],
  [{ maxWindowBytes: '64 MiB' }, 'maxWindowBytes', /got "64 MiB"/],
  [{ spread: 'true' }, 'spread', /true or false, got "true"/],
  [{ hedge: { layerMs: 1 } }, 'hedge.layerMs', /is unknown/],
  [{ hedge: { layersMs: 0 } }, 'hedge.layersMs', /at least 1 or Infinity, got 0/],
  [{ hedge: { layersMs: null } }, 'hedge.layersMs', /got null/],
  [{ hedge: { metadataMs: 0.5 } }, 'hedge.metadataMs', /got 0\.5/],
  [{ hedge: { budget: -0.1 } }, 'hedge.budget', /at least 0 and at most 1, got -0\.1/],
];

const contradictions: readonly Wrong[] = [
  [{ connectionsPerBlob: 3, maxConnections: 2 }, 'connectionsPerBlob', /transfer\.maxConnections, which is 2, got 3/],
  [{ rangeBytes: 32_769, windowBytes: 32_768 }, 'rangeBytes', /transfer\.windowBytes, which is 32768, got 32769/],
  [{ rangeBytes: 32_769, maxWindowBytes: 32_768 }, 'rangeBytes', /transfer\.maxWindowBytes, which is 32768/],
  [{ windowBytes: 32_769, maxWindowBytes: 32_768 }, 'windowBytes', /transfer\.maxWindowBytes, which is 32768/],
];

/** One option that was given, and the defaults that follow it. */
const lifted: readonly (readonly [given: TransferOptions, follows: Partial<TransferSettings>])[] = [
  [{ connectionsPerBlob: 32 }, { maxConnections: 32 }],
  [{ connectionsPerBlob: 2 }, { maxConnections: 16 }],
  [{ maxConnections: 4 }, { connectionsPerBlob: 4 }],
  [{ maxConnections: 64 }, { connectionsPerBlob: 8 }],
  [{ windowBytes: 100 * mebibyte }, { maxWindowBytes: 100 * mebibyte, rangeBytes: 2 * mebibyte }],
  [{ windowBytes: 65_536 }, { maxWindowBytes: 64 * mebibyte, rangeBytes: 65_536 }],
  [{ rangeBytes: 20 * mebibyte }, { windowBytes: 20 * mebibyte, maxWindowBytes: 64 * mebibyte }],
  [{ rangeBytes: 80 * mebibyte }, { windowBytes: 80 * mebibyte, maxWindowBytes: 80 * mebibyte }],
  [{ maxWindowBytes: 8 * mebibyte }, { windowBytes: 8 * mebibyte, rangeBytes: 2 * mebibyte }],
  [{ maxWindowBytes: 65_536 }, { windowBytes: 65_536, rangeBytes: 65_536 }],
  [
    { rangeBytes: 20 * mebibyte, maxWindowBytes: 30 * mebibyte },
    { windowBytes: 20 * mebibyte, maxWindowBytes: 30 * mebibyte },
  ],
];

describe('the transfer options', () => {
  it('are whole without any: 8 connections a blob of 16, ranges of 2 MiB, windows of 16 MiB within 64, in order', () => {
    for (const none of [undefined, {}, { hedge: {} }, { hedge: undefined, rangeBytes: undefined }]) {
      expect(settingsOf(none)).to.deep.equal({
        connectionsPerBlob: 8,
        maxConnections: 16,
        rangeBytes: 2 * mebibyte,
        windowBytes: 16 * mebibyte,
        maxWindowBytes: 64 * mebibyte,
        spread: false,
        hedge: { metadataMs: null, layersMs: null, budget: 0.1 },
      });
    }
  });

  it('take every value at the ends of its range', () => {
    const least: Required<TransferOptions> = {
      connectionsPerBlob: 1,
      maxConnections: 1,
      rangeBytes: 16_384,
      windowBytes: 16_384,
      maxWindowBytes: 16_384,
      spread: false,
      hedge: { metadataMs: 1, layersMs: 1, budget: 0 },
    };
    const most: Required<TransferOptions> = {
      connectionsPerBlob: 64,
      maxConnections: 1_024,
      rangeBytes: 2 ** 40,
      windowBytes: 2 ** 40,
      maxWindowBytes: 2 ** 40,
      spread: true,
      hedge: { metadataMs: Infinity, layersMs: Infinity, budget: 1 },
    };
    expect(settingsOf(least)).to.deep.equal(least);
    expect(settingsOf(most)).to.deep.equal(most);
  });

  for (const [given, follows] of lifted) {
    it(`given as ${JSON.stringify(given)}, move the defaults beside them`, () => {
      expect(settingsOf(given)).to.include({ ...follows, ...given });
    });
  }

  it('cannot be changed once they were read', () => {
    const settings = settingsOf({});
    expect(Object.isFrozen(settings) && Object.isFrozen(settings.hedge)).to.equal(true);
  });

  for (const [options, key, says] of [...mistakes, ...contradictions]) {
    it(`refuse ${JSON.stringify(options)}, naming ${key === '' ? 'transfer' : key}`, () => {
      let error: unknown;
      try {
        settingsOf(options);
      } catch (thrown) {
        error = thrown;
      }
      if (!isInvalidOptionError(error)) throw new Error(`not an InvalidOptionError: ${String(error)}`);
      expect(error.option).to.equal(key === '' ? 'transfer' : `transfer.${key}`);
      expect(error.message).to.match(says);
    });
  }
});
