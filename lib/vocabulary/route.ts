/**
 * How bytes reach the engine.
 *
 * - `relay`: the daemon pulls from a registry inside this process
 * - `load`: an image archive is streamed into the daemon
 * - `direct`: the daemon pulls by itself, watched
 * - `layout`: written into an OCI image layout directory
 */
export type Route = 'relay' | 'load' | 'direct' | 'layout';
