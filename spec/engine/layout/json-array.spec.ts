import { expect } from 'chai';
import fc from 'fast-check';
import { findArray, findMember } from '../../../lib/engine/layout/json-array.js';

const cut = (text: string, span: { start: number; end: number } | null): string | null =>
  span === null ? null : text.slice(span.start, span.end);

describe('The place of an array in a JSON text', () => {
  it('is found whatever stands around it', () => {
    const text = ' {"a":"]}\\"[","list" : [ 1 , "x,]" ,{"list":[9]}, [ ] ] , "z":1.50e+3 }\n';
    const array = findArray(text, 'list');
    expect(array?.elements.map((element) => cut(text, element))).to.deep.equal(['1', '"x,]"', '{"list":[9]}', '[ ]']);
    expect(cut(text, findMember(text, 'z'))).to.equal('1.50e+3');
  });

  it('is that of the last one of two keys, as JSON.parse reads them', () => {
    const text = '{"list":[1],"\\u006cist":[2,3]}';
    expect(findArray(text, 'list')?.elements).to.have.length(2);
  });

  for (const text of ['{}', '{"other":[1]}', '{"list":null}', '{"list":{"0":1}}', '{"x":{"list":[1]}}']) {
    it(`is null where there is none: ${text}`, () => {
      expect(findArray(text, 'list')).to.equal(null);
    });
  }

  it('agrees with JSON.parse on every document', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.array(fc.jsonValue()),
        fc.constantFrom(undefined, 1, '\t'),
        (others, list, indent) => {
          const text = JSON.stringify({ ...others, list }, null, indent);
          const parsed = JSON.parse(text) as Record<string, unknown>;
          const elements = findArray(text, 'list')?.elements.map((span) =>
            JSON.parse(text.slice(span.start, span.end)),
          );
          expect(elements).to.deep.equal(parsed['list']);
          for (const [key, value] of Object.entries(parsed)) {
            expect(JSON.parse(cut(text, findMember(text, key)) ?? 'nothing')).to.deep.equal(value);
          }
        },
      ),
    );
  });
});
