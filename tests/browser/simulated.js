// Simulated time for tests: one thing happens at a time, in an order that the seed alone decides,
// however fast or busy the machine is. Nobody waits for real: what comes next happens at once.

const SOON = 6; // a usual wait is up to this long, in units of simulated time
const SLOW = 0.1; // share of waits that take up to `FACTOR` times as long
const FACTOR = 20;
const TIMER = 1 / 100; // units in a millisecond of setTimeout: timers and replies race each other

/** Numbers in [0, 1) from a seed (the mulberry32 generator). */
export function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Resolves once every promise that can go on has done so. */
function quiet() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** What waits, and the order in which it goes on. */
export class Clock {
  constructor(random) {
    this.random = random;
    this.now = 0;
    this.waiting = new Map(); // number -> {at, run}
    this.counter = 0;
    this.outside = new Set(); // promises that end in real time
  }

  after(delay, run) {
    this.counter += 1;
    this.waiting.set(this.counter, { at: this.now + delay, run });
    return this.counter;
  }

  /** Wait a random while. */
  pause() {
    const factor = this.random() < SLOW ? FACTOR : 1;
    return new Promise((resolve) => { this.after(this.random() * SOON * factor, resolve); });
  }

  /** The result of a promise that ends in real time; simulated time stands still until then. */
  real(promise) {
    this.outside.add(promise);
    const over = () => this.outside.delete(promise);
    promise.then(over, over);
    return promise;
  }

  /** Let everything happen until `end` is settled; resolves or rejects with it. */
  async run(end) {
    let over = false;
    const stop = () => { over = true; };
    end.then(stop, stop);
    for (await quiet(); !over; await quiet()) {
      if (this.outside.size) await Promise.allSettled(this.outside);
      else this.step();
    }
    return end;
  }

  step() {
    const all = [...this.waiting];
    if (!all.length) throw new Error("everybody waits for nothing");
    const [number, { at, run }] = all.reduce((a, b) => (b[1].at < a[1].at ? b : a));
    this.waiting.delete(number);
    this.now = at;
    run();
  }
}

/**
 * Until the function returned is called, setTimeout follows the clock, and fetch takes simulated
 * time each way; of writes the share `lost` fails before the server has it, and as many after.
 */
export function disturb(clock, lost) {
  const { fetch, setTimeout, clearTimeout } = globalThis;
  const fail = (method) => {
    if (method && clock.random() < lost) throw new TypeError("the connection broke");
  };
  const exchange = async (url, options) => {
    const response = await fetch(url, options);
    const [{ ok, status }, said] = [response, await response.json()];
    return { ok, status, json: async () => said };
  };
  globalThis.fetch = async (url, options) => {
    await clock.pause();
    fail(options?.method);
    const response = await clock.real(exchange(url, options));
    await clock.pause();
    fail(options?.method);
    return response;
  };
  globalThis.setTimeout = (run, delay = 0) => clock.after(delay * TIMER, run);
  globalThis.clearTimeout = (number) => clock.waiting.delete(number);
  return () => Object.assign(globalThis, { fetch, setTimeout, clearTimeout });
}
