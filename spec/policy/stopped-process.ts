/** The process that `loop-timer.spec.ts` stops: reads a connection that drips, beside a limit that nothing restarts. */
import { connect } from 'node:net';
import { startLoopTimer } from '../../lib/policy/loop-timer.js';

const port = Number(process.argv[2]);
const limitMs = Number(process.argv[3]);

const socket = connect(port, '127.0.0.1');
socket.once('data', () => {
  const dripping = startLoopTimer(limitMs, () => process.stdout.write('the dripping one expired\n'));
  socket.on('data', () => dripping.restart());
  const startMs = performance.now();
  startLoopTimer(limitMs, () => {
    process.stdout.write(`the idle one expired after ${Math.round(performance.now() - startMs)} ms\n`);
    dripping.cancel();
    socket.destroy();
  });
  process.stdout.write('reading\n');
});
