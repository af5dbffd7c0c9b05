import { expect } from 'chai';
import fc from 'fast-check';
import { parseErrorBody } from '../../lib/distribution/error-body.js';

describe('an error body', () => {
  it('in the form of the specification gives its codes and messages', () => {
    const text = JSON.stringify({
      errors: [
        { code: 'MANIFEST_UNKNOWN', message: 'manifest unknown', detail: { Tag: '3.0' } },
        { code: 'denied', message: 'requested access is denied' },
        { code: 'MANIFEST_UNKNOWN', message: '' },
      ],
    });
    expect(parseErrorBody(text)).to.deep.equal({
      specCodes: ['MANIFEST_UNKNOWN', 'DENIED'],
      detail: 'manifest unknown; requested access is denied',
    });
  });
  it('of a token service gives its code and message, in either form', () => {
    expect(parseErrorBody('{"code":"unauthorized","message":"wrong password"}')).to.deep.equal({
      specCodes: ['UNAUTHORIZED'],
      detail: 'wrong password',
    });
    expect(parseErrorBody('{"error":"invalid_grant","error_description":"expired"}')).to.deep.equal({
      specCodes: ['INVALID_GRANT'],
      detail: 'expired',
    });
  });
  it('of any other form is repeated as it is, shortened', () => {
    expect(parseErrorBody('Too Many Requests (HAP429).\n')).to.deep.equal({
      specCodes: [],
      detail: 'Too Many Requests (HAP429).',
    });
    expect(parseErrorBody('x'.repeat(10_000)).detail).to.have.length.below(500);
    expect(parseErrorBody('')).to.deep.equal({ specCodes: [], detail: '' });
  });
  it('has a bounded number of codes, none of which can be anything but a code', () => {
    const errors = [
      { code: 'has space' },
      { code: 7 },
      { code: '\u001b[31mRED' },
      null,
      'x',
      ...Array.from({ length: 50 }, (_, index) => ({ code: `CODE_${index}` })),
    ];
    const { specCodes } = parseErrorBody(JSON.stringify({ errors }));
    expect(specCodes).to.deep.equal(['CODE_0', 'CODE_1', 'CODE_2']);
  });
  it('never repeats a signed URL, a header or what this exchange sent', () => {
    const { detail } = parseErrorBody(
      'no: https://cdn.example/x?X-Amz-Signature=deadbeef, Authorization: Bearer abcdefghijkl, "password":"hunter22", seen tok-123456',
      ['tok-123456'],
    );
    for (const secret of ['deadbeef', 'abcdefghijkl', 'hunter22', 'tok-123456']) expect(detail).not.to.include(secret);
    expect(detail).to.include('https://cdn.example/x');
  });
  it('never repeats what this exchange sent as a code either', () => {
    const errors = [{ code: 'hunter22' }, { code: 'was_hunter22' }, { code: 'DENIED' }];
    expect(parseErrorBody(JSON.stringify({ errors }), ['hunter22']).specCodes).to.deep.equal(['DENIED']);
  });
  it('never crashes the parser, whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.json(),
          fc.json().map((json) => `{"errors":${json}}`),
        ),
        (text) => {
          const { specCodes, detail } = parseErrorBody(text);
          expect(specCodes.every((code) => /^[A-Z][A-Z0-9_]*$/.test(code))).to.equal(true);
          // oxlint-disable-next-line no-control-regex
          expect(detail).not.to.match(/[\u0000-\u001f]/);
        },
      ),
    );
  });
});
