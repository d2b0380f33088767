/**
 * What a token says of itself. Only its end is of interest here; nothing is verified, that is
 * the server's work.
 */

/**
 * The life that a JWT has left, in milliseconds; infinite where it does not say.
 * @param {string | null} token
 * @param {number} now
 */
export function expiresInMs(token, now) {
  try {
    const claims = (token ?? '').split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const { exp } = JSON.parse(atob(claims));
    return typeof exp === 'number' ? exp * 1000 - now : Infinity;
  } catch {
    return Infinity;
  }
}
