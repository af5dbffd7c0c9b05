import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Incident } from '../../lib/incidents/incident.js';
import { renderIncident } from '../../lib/incidents/render-incident.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { type Chromium, type Page, requireChromium, startChromium } from './support/chromium.js';
import { outageOf2017 } from './support/outage-of-2017.js';

/** How a reader sees the page. */
const readers = [
  { name: 'light', media: 'screen', scheme: 'light', isBright: true },
  { name: 'dark', media: 'screen', scheme: 'dark', isBright: false },
  { name: 'printed', media: 'print', scheme: 'light', isBright: true },
  { name: 'printed from a dark desk', media: 'print', scheme: 'dark', isBright: true },
] as const;

/** WCAG 2.2, 1.4.3, for text. */
const minContrast = 4.5;

/** In the page: how bright a colour is, and how two of them contrast (WCAG 2.2, relative luminance). */
const colours = `
  const luminance = (css) => {
    const [r, g, b] = css.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [a, b] = [luminance(one), luminance(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const page = getComputedStyle(document.body).backgroundColor;
`;

describe('the page of an incident in Chromium', function () {
  this.timeout(60_000);
  requireChromium();
  const directory = useTemporaryDirectory();
  let chromium: Chromium;
  let page: Page;

  before(async () => {
    chromium = await startChromium();
    ({ page } = chromium);
  });

  after(async () => {
    await chromium?.close();
  });

  async function show(incident: Incident, widthPixels: number = 1_280): Promise<void> {
    const path = join(directory.path, 'incident.html');
    await writeFile(path, renderIncident(incident, 'html'));
    await page.call('Emulation.setEmulatedMedia', { media: 'screen', features: [] });
    await page.call('Emulation.setDeviceMetricsOverride', {
      width: widthPixels,
      height: 900,
      deviceScaleFactor: 1,
      mobile: false,
    });
    await page.open(path);
  }

  for (const { name, media, scheme, isBright } of readers) {
    it(`can be read ${name}: every text contrasts with what is behind it`, async () => {
      await show(outageOf2017());
      await page.call('Emulation.setEmulatedMedia', {
        media,
        features: [{ name: 'prefers-color-scheme', value: scheme }],
      });
      const seen = await page.evaluate<{ bright: boolean; count: number; weak: readonly string[] }>(`(() => {
        ${colours}
        const behind = (element) => {
          for (let each = element; each !== null; each = each.parentElement) {
            const { backgroundColor } = getComputedStyle(each);
            if (!/rgba\\(.*, 0\\)/.test(backgroundColor)) return backgroundColor;
          }
          return page;
        };
        const html = [...document.querySelectorAll('h1, h1 span, h2, li, p, th, td, footer')].map((element) => ({
          text: element.textContent, ratio: contrast(getComputedStyle(element).color, behind(element)),
        }));
        const drawn = [...document.querySelectorAll('svg text')].map((element) => {
          const shape = element.parentElement.querySelector('rect, circle');
          const onShape = element.matches('.word, .number') && shape !== null;
          const back = onShape ? getComputedStyle(shape).fill : page;
          return { text: element.textContent, ratio: contrast(getComputedStyle(element).fill, back) };
        });
        const all = [...html, ...drawn];
        return {
          bright: luminance(page) > 0.5,
          count: all.length,
          weak: all.filter(({ ratio }) => ratio < ${minContrast}).map(({ text, ratio }) => text + ': ' + ratio.toFixed(2)),
        };
      })()`);
      expect(seen.weak).to.deep.equal([]);
      expect(seen.bright).to.equal(isBright);
      expect(seen.count).to.be.greaterThan(200);
    });
  }

  it('draws every circuit, act, operation and registry, each with its words', async () => {
    const incident = outageOf2017();
    await show(incident);
    const counts = await page.evaluate<Record<string, number>>(`Object.fromEntries(
      ['rect.open:not(.swatch)', 'rect.half-open:not(.swatch)', 'circle.act', 'line.run', 'path.bytes']
        .map((each) => [each, document.querySelectorAll(each).length]))`);
    expect(counts).to.deep.equal({
      'rect.open:not(.swatch)': incident.circuits.filter(({ state }) => state === 'open').length,
      'rect.half-open:not(.swatch)': incident.circuits.filter(({ state }) => state === 'half-open').length,
      'circle.act': incident.operatorActs.length,
      'line.run': incident.operations.length,
      'path.bytes': incident.throughput.registries.length,
    });
  });

  for (const [what, incident] of [
    ['of three hours', outageOf2017],
    ['with long names', (): Incident => withNames(outageOf2017(), 'a-very-long-name.of-a-registry.example.com/team')],
  ] as const) {
    it(`keeps every word of a drawing ${what} in its place: nothing is cut off, and no two run into each other`, async () => {
      await show(incident());
      const wrong = await page.evaluate<readonly string[]>(`(() => {
        const svg = document.querySelector('svg').getBoundingClientRect();
        const texts = [...document.querySelectorAll('svg text')]
          .map((element) => ({ words: element.textContent, box: element.getBoundingClientRect() }));
        const outside = texts
          .filter(({ box }) => box.left < svg.left - 1 || box.right > svg.right + 1 || box.bottom > svg.bottom + 1)
          .map(({ words }) => 'outside: ' + words);
        const touching = texts.flatMap((one, at) => texts.slice(at + 1)
          .filter(({ box, words }) => words !== one.words && Math.min(box.right, one.box.right) - Math.max(box.left, one.box.left) > 1
            && Math.min(box.bottom, one.box.bottom) - Math.max(box.top, one.box.top) > 4)
          .map(({ words }) => one.words + ' × ' + words));
        const lanes = Math.min(...[...document.querySelectorAll('svg rect')].map((each) => each.getBoundingClientRect().left));
        const intoLanes = [...document.querySelectorAll('svg .label, svg .detail')]
          .filter((each) => each.getBoundingClientRect().right > lanes).map((each) => 'into the lanes: ' + each.textContent);
        return [...outside, ...touching, ...intoLanes];
      })()`);
      expect(wrong).to.deep.equal([]);
    });
  }

  it('fits on a narrow screen: only the drawing and the tables scroll sideways', async () => {
    await show(outageOf2017(), 390);
    const width = await page.evaluate<number>('document.documentElement.scrollWidth');
    expect(width).to.be.at.most(390);
  });

  it('prints on few pages, with the drawing as wide as the paper', async () => {
    await show(outageOf2017());
    const { data } = await page.call<{ data: string }>('Page.printToPDF', {
      paperWidth: 8.27,
      paperHeight: 11.69,
      preferCSSPageSize: true,
    });
    const pdf = Buffer.from(data, 'base64').toString('latin1');
    expect(pdf.startsWith('%PDF-')).to.equal(true);
    expect(pdf.match(/\/Type\s*\/Page\b/g)?.length).to.be.within(2, 8);
    // As wide as A4 between its margins, in pixels of 1/96 inch.
    const paperWidth = 703;
    await page.call('Emulation.setEmulatedMedia', { media: 'print', features: [] });
    await page.call('Emulation.setDeviceMetricsOverride', {
      width: paperWidth,
      height: 1_030,
      deviceScaleFactor: 1,
      mobile: false,
    });
    const drawing = await page.evaluate<{ left: number; right: number }>(
      "(({ left, right }) => ({ left, right }))(document.querySelector('svg').getBoundingClientRect())",
    );
    expect(drawing.left).to.be.at.least(0);
    expect(drawing.right).to.be.within(paperWidth * 0.9, paperWidth);
  });

  it('is an image with a name and tables with headings to who does not see it', async () => {
    await show(outageOf2017());
    const { nodes } = await page.call<{
      nodes: readonly { readonly role?: { readonly value: string }; readonly name?: { readonly value: string } }[];
    }>('Accessibility.getFullAXTree');
    const named = (role: string): readonly string[] =>
      nodes.filter((node) => node.role?.value === role).map((node) => node.name?.value ?? '');
    expect([...named('image'), ...named('img')]).to.include('The incident over time');
    expect(named('table')).to.include.members(['Circuits', 'Operators', 'What happened', 'Operations']);
    expect(named('columnheader')).to.include.members(['registry', 'outcome', 'openings']);
    expect(named('heading').filter((name) => name === '')).to.deep.equal([]);
  });

  for (const name of [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "'onload='alert(1)",
    '</svg></style>',
  ]) {
    it(`shows a name as it is, and does nothing that it says: ${name}`, async () => {
      await show(withNames(outageOf2017(), name));
      const seen = await page.evaluate<{ scripts: number; images: number; handlers: number; shown: boolean }>(`({
        scripts: document.scripts.length,
        images: document.images.length,
        handlers: [...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames()).filter((each) => each.startsWith('on')).length,
        shown: [...document.querySelectorAll('td')].some((cell) => cell.textContent.includes(${JSON.stringify(name)})),
      })`);
      expect(seen).to.deep.equal({ scripts: 0, images: 0, handlers: 0, shown: true });
    });
  }

  it('asked for nothing but itself all the while, and the browser complained of nothing', () => {
    const asked = page.events
      .filter(({ method }) => method === 'Network.requestWillBeSent')
      .map(({ params }) => (params['request'] as { readonly url: string }).url);
    expect(asked.filter((url) => !url.endsWith('/incident.html'))).to.deep.equal([]);
    expect(asked.length).to.be.greaterThan(5);
    const complaints = page.events.filter(
      ({ method }) =>
        method === 'Log.entryAdded' ||
        method === 'Runtime.exceptionThrown' ||
        method === 'Page.javascriptDialogOpening',
    );
    expect(complaints).to.deep.equal([]);
  });
});

/** The same incident at registries, engines and images of another name. */
function withNames(incident: Incident, name: string): Incident {
  const renamed = JSON.stringify(incident)
    .replaceAll('quay.io/aptible', JSON.stringify(name).slice(1, -1))
    .replaceAll('"host-4"', JSON.stringify(name));
  return JSON.parse(renamed) as Incident;
}
