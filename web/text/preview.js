/** A message in one line, without its markup. */

const CHARS_MAX = 160;

/** @param {string} content */
export function preview(content) {
  return content.slice(0, 1000)
    .replace(/^ {0,3}(?:`{3,}|~{3,}).*$/gm, ' ')
    .replace(/^[ >]*(?:#{1,6} |[-*+] |> ?)/gm, '')
    .replace(/\[([^[\]\n]{1,200})\]\([^\s()]{1,500}\)/g, '$1')
    .replace(/(\*\*|__|~~|`)/g, '')
    .replace(/(^|[\s(])([*_])(\S|\S[^*_\n]*\S)\2(?![\w*])/g, '$1$3')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, CHARS_MAX);
}
