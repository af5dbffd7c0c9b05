import { InvalidOptionError } from '../errors/invalid-option-error.js';
import type { Incident } from './incident.js';
import { renderHtml } from './render-html.js';
import { renderMarkdown } from './render-markdown.js';

/** How an incident can be shown. */
export type IncidentFormat = 'markdown' | 'html' | 'json';

/** The formats by name. */
export const incidentFormats: readonly IncidentFormat[] = ['markdown', 'html', 'json'];

/**
 * Writes an incident down.
 *
 * - `markdown`: for a ticket or a wiki
 * - `html`: one page that needs nothing else, no script and no network, with a drawn timeline; light, dark or printed
 * - `json`: the record itself, indented
 *
 * Names that tenants chose, and what registries said, are text in each of them, whatever they contain.
 *
 * @throws InvalidOptionError for another format
 */
export function renderIncident(incident: Incident, format: IncidentFormat): string {
  switch (format) {
    case 'markdown':
      return renderMarkdown(incident);
    case 'html':
      return renderHtml(incident);
    case 'json':
      return `${JSON.stringify(incident, null, 2)}\n`;
    default:
      throw new InvalidOptionError('format', `must be one of ${incidentFormats.join(', ')}, got ${String(format)}`);
  }
}
