/** Ids that nobody else has. */

/** Returns 32 hexadecimal digits by chance; `crypto.randomUUID` is there on secure pages alone, as a hub may not be. */
export function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
}
