// Works out a live-wire's window beside the page, so that the pointer never waits for it.

import { costs, nearestEdgeNode, spread } from "./livewire.js";

self.onmessage = ({ data: { turn, pixels, width, height, x, y, reach } }) => {
  const cost = costs(pixels, width, height);
  const [columns, rows] = [width + 1, height + 1];
  const seed = reach ? nearestEdgeNode(cost, columns, rows, x, y, reach) : y * columns + x;
  const arrival = spread(cost, columns, rows, seed);
  self.postMessage({ turn, cost, arrival, seed }, [cost.buffer, arrival.buffer]);
};
