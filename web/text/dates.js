/** Times as people say them, in the reader's language and zone. */

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const DAY_YEAR = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'long', year: 'numeric',
});
const SHORT = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' });

/** @param {string} at */
export const timeOf = (at) => TIME.format(new Date(at));

/** @param {string} at */
export const fullTime = (at) => FULL.format(new Date(at));

/** Midnight before it, as a number to compare days by. @param {string | Date} at */
export function dayOf(at) {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** Whole days between then and today. @param {string} at */
function daysAgo(at) {
  return Math.round((dayOf(new Date()) - dayOf(at)) / 86_400_000);
}

/** @param {string} at */
export function dayName(at) {
  const [days, date] = [daysAgo(at), new Date(at)];
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return (date.getFullYear() === new Date().getFullYear() ? DAY : DAY_YEAR).format(date);
}

/** For lists: the time today, the day before that. @param {string} at */
export function shortTime(at) {
  const [days, date] = [daysAgo(at), new Date(at)];
  if (days <= 0) return TIME.format(date);
  if (days === 1) return 'Yesterday';
  return (days < 7 ? WEEKDAY : SHORT).format(date);
}
