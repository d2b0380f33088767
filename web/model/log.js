/**
 * What is known of one session's log, in its order: messages, and notices of what else
 * happened while we looked on.
 *
 * Everything is put by id, so what comes twice, late or in another order does no harm: the
 * newer form wins, and what was deleted stays deleted. Items never change; a change makes a new
 * item, so whoever shows one can tell by `===` whether it is still the same.
 */

/** @typedef {import('../assistdeck-client.js').Message} Message */
/** @typedef {import('../assistdeck-client.js').SessionEvent} SessionEvent */
/**
 * @typedef {object} Item
 * @property {string} key         unique and lasting; a message keeps the key that it was sent by
 * @property {number} seq
 * @property {string} at
 * @property {Message} [message]
 * @property {boolean} [isDeleted]
 * @property {SessionEvent} [notice]
 */

/** @param {{sender_id: string, client_id?: string, id: string}} message */
const keyOf = ({ sender_id, client_id, id }) => (client_id ? `${sender_id} ${client_id}` : id);

export class Log {
  /** @type {Item[]} ascending by `seq` */
  items = [];
  /** @type {Map<string, number>} seq by message id */
  #seqs = new Map();
  /** @type {Set<string>} */
  #deleted = new Set();

  /** @param {Message} message  gives whether anything changed */
  put(message) {
    if (this.#deleted.has(message.id)) return false;
    const { seq, created_at: at } = message;
    const old = this.get(message.id)?.message;
    if (old && (old.edited_at ?? '') >= (message.edited_at ?? '')) return false;
    this.#seqs.set(message.id, seq);
    this.#set({ key: keyOf(message), seq, at, message });
    return true;
  }

  /** @param {string} id */
  delete(id) {
    this.#deleted.add(id);
    const item = this.get(id);
    if (item) this.#set({ ...item, isDeleted: true, message: undefined });
    return item !== undefined;
  }

  /** @param {SessionEvent} event */
  note(event) {
    this.#set({ key: `n${event.seq}`, seq: event.seq, at: event.at, notice: event });
  }

  /** @param {string} id  of a message @returns {Item | undefined} */
  get(id) {
    const seq = this.#seqs.get(id);
    return seq === undefined ? undefined : this.items[this.indexOf(seq)];
  }

  /** Where the first item with this seq or a later one stands. @param {number} seq */
  indexOf(seq) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The seq from which on there are `count` messages of others, or null where fewer are here.
   * @param {number} count
   * @param {string} me
   */
  firstOfLast(count, me) {
    for (let at = this.items.length - 1; at >= 0 && count > 0; at--) {
      const { message, seq } = this.items[at];
      if (message && message.sender_id !== me && --count === 0) return seq;
    }
    return null;
  }

  /** How many messages of others stand above a seq. @param {number} seq @param {string} me */
  countAbove(seq, me) {
    const above = this.items.slice(this.indexOf(seq + 1));
    return above.filter(({ message }) => message && message.sender_id !== me).length;
  }

  /** @param {(message: Message) => boolean} test  the newest that passes */
  findLast(test) {
    return this.items.findLast(({ message }) => message && test(message))?.message;
  }

  /** @param {Item} item */
  #set(item) {
    const at = this.indexOf(item.seq);
    const replaced = this.items[at]?.seq === item.seq ? 1 : 0;
    this.items.splice(at, replaced, item);
  }
}

/** The key under which a message on its way will be known. @param {string} me
 * @param {string} clientId */
export const sendingKey = (me, clientId) => keyOf({ sender_id: me, client_id: clientId, id: '' });
