/**
 * Everything public of every entry, in one place. Nothing imports it: `typings/` is rolled up from it, so that a class
 * or a brand is declared once, and a value of one entry is welcome in another.
 */
export * from './index.js';
export * from './incidents/index.js';
export * from './testing/index.js';
