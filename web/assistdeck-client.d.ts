/**
 * The types of `assistdeck-client.js`, which the server serves beside these modules: it is
 * `clients/js/dist/assistdeck-client.js`, byte for byte.
 */
export * from '../clients/js/src/public.js';
