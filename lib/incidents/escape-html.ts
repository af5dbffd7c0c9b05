// Names come from tenants and messages from registries: they must not turn the reading direction around either.
// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as text, between tags and within quoted attributes alike. */
export function escapeHtml(text: string): string {
  return text.replace(unprintable, ' ').replace(/[&<>"']/g, (found) => entities[found] ?? '');
}
