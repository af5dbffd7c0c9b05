import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { packageDirectory, readSourceFiles, withoutComments } from './source-file.js';

/** Names that say nothing about the thing, and words for which the glossary has another one. */
const emptyWord = /(?:^|-)(?:utils?|helpers?|managers?|misc|common|mirrors?|impl)(?:-|$)/;
const emptyName = /(?:Utils?|Manager|Mirror|Impl)(?:$|[A-Z])|^I[A-Z][a-z]/;
/** Docker's own word for a program that keeps credentials; so declarations may say Helper too. */
const wordsOfOthers = new Set(['credential-helper']);

const declared =
  /^\s*(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:class|interface|type|(?:async\s+)?function\*?|const|let)\s+([A-Za-z_$][\w$]*)/gm;

describe('the words of the house', () => {
  const files = readSourceFiles();
  const tree = ['lib', 'spec', 'bench'].flatMap((folder) =>
    readdirSync(join(packageDirectory, folder), { recursive: true, encoding: 'utf8' }).map(
      (path) => `${folder}/${path}`,
    ),
  );

  it('names every file and folder in kebab-case', () => {
    const wrong = tree.filter(
      (path) => !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)*$/.test(basename(path)) && basename(path) !== 'README.md',
    );
    expect(wrong).to.deep.equal([]);
  });

  it('names no file, folder or declaration after a pattern, or by a word that the glossary replaces', () => {
    const wrongPaths = tree.filter((path) => {
      const stem = basename(path).split('.')[0] ?? '';
      return !wordsOfOthers.has(stem) && emptyWord.test(stem);
    });
    const wrongNames = files.flatMap((file) =>
      [...withoutComments(file.text).matchAll(declared)]
        .map((match) => match[1] ?? '')
        .filter((name) => emptyName.test(name))
        .map((name) => `${file.path}: ${name}`),
    );
    expect([...wrongPaths, ...wrongNames]).to.deep.equal([]);
  });

  it('leaves no promise of later work in the code, and turns no rule of the compiler off', () => {
    const wrong = files.filter((file) => /\b(?:TODO|FIXME|XXX)\b|@ts-(?:ignore|nocheck|expect-error)/.test(file.text));
    expect(wrong.map((file) => file.path)).to.deep.equal([]);
  });
});
