/**
 * What the browser keeps: small values under names of our own. A browser that keeps nothing
 * (private windows, full disks, strict settings) is no error: the page just forgets.
 */

const PREFIX = 'assistdeck.';

/** @param {() => Storage} area */
function keeper(area) {
  return {
    /** @param {string} name @returns {any} */
    get(name) {
      try {
        return JSON.parse(area().getItem(PREFIX + name) ?? 'null');
      } catch {
        return null;
      }
    },
    /** @param {string} name @param {unknown} value  null forgets */
    set(name, value) {
      try {
        if (value === null || value === undefined) area().removeItem(PREFIX + name);
        else area().setItem(PREFIX + name, JSON.stringify(value));
      } catch {
        // Then it is not kept.
      }
    },
    /** Forgets everything whose name begins so. @param {string} start */
    clear(start) {
      try {
        for (const name of Object.keys(area())) {
          if (name.startsWith(PREFIX + start)) area().removeItem(name);
        }
      } catch {
        // There is nothing to forget.
      }
    },
  };
}

/** For all tabs, for good. */
export const kept = keeper(() => localStorage);

/** For this tab, across reloads. */
export const tab = keeper(() => sessionStorage);

/** The name under which other tabs see a change. @param {string} name */
export const keptName = (name) => PREFIX + name;
