#!/usr/bin/env node
// Starts boxctl from its bundle, with V8's code cache beside it: reading and compiling the sources would take longer than
// making the container does. A cache of another Node is not used, and does no harm.
'use strict';

const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');

const OLDEST = 20;
if (process.platform !== 'linux' || Number.parseInt(process.versions.node, 10) < OLDEST) {
  process.stderr.write(
    `boxctl: needs Linux and Node ${OLDEST} or newer; this is ${process.platform}, ${process.version}\n`,
  );
  process.exit(125);
}

const folder = __dirname;

/** It maps files (native/addon/map.h), of which Node's own functions make two copies. */
function openAddon() {
  const module = { exports: {} };
  try {
    process.dlopen(module, join(folder, 'native/boxctl.node'));
    return module.exports;
  } catch {
    // Who needs it tells why it cannot be loaded: src/native.ts.
    return undefined;
  }
}

const addon = openAddon();
// Before any cache of boxctl's is read.
addon?.setBaseline(false);

function readText(path) {
  // ASCII alone: nothing has to be decoded.
  return addon?.mapText(path) ?? readFileSync(path, 'latin1');
}

function readBytes(path) {
  return addon === undefined ? readFileSync(path) : addon.mapBytes(path);
}

/**
 * Commands that look at containers, or send them something. Of the packs they need another part than a start, and V8 has that in
 * caches of their own (src/build.mjs).
 */
const LOOKS = 'ps inspect logs stop kill rm wait top stats events port rename pause unpause attach'.split(' ');

const word = process.argv.slice(2).find((one) => one !== '--from-front');
const endingOf = (name) => (name !== 'network' && LOOKS.includes(word) ? 'looks.cache' : 'cache');

const packs = new Map();

/** Modules as one script, whose value is a map of functions by name: src/build.mjs packs them. */
function openPack(name) {
  const known = packs.get(name);
  if (known !== undefined) return known;
  const path = join(folder, `${name}.pack`);
  let cachedData;
  try {
    cachedData = readBytes(`${path}.${endingOf(name)}`);
  } catch {
    // Built without one.
  }
  const script = new Script(readText(path), { filename: path, cachedData });
  const pack = { script, modules: script.runInThisContext() };
  packs.set(name, pack);
  return pack;
}

const loaded = new Map();

function load(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  // Hundreds of names: with a prototype, each of them would make another hidden class.
  const module = { exports: Object.create(null) };
  loaded.set(name, module);
  // What a start does not need is not read by it.
  const other = name.startsWith('late-network') ? 'network' : 'rest';
  const evaluate = openPack('start').modules[name] ?? openPack(other).modules[name];
  evaluate(module.exports, requireHere, module, late, join(folder, name), folder);
  return module.exports;
}

/** Modules of Node that few commands use. */
const LATE = new Set(['node:module', 'node:timers/promises', 'node:url']);
/** Modules of Node that boxctl imports as a whole. Of what has none of the names itself, the bundle's helper copies none. */
const WHOLE = new Set(['node:fs', 'node:os']);

/** Node has caches of what its modules are compiled to: V8 takes them with its usual flags alone. */
function requireOfNode(name) {
  addon?.setBaseline(true);
  try {
    return require(name);
  } finally {
    addon?.setBaseline(false);
  }
}

function requireHere(name) {
  if (name.startsWith('./')) return load(name.slice(2));
  if (LATE.has(name)) return lateOf(() => requireOfNode(name));
  return WHOLE.has(name) ? Object.create(requireOfNode(name)) : requireOfNode(name);
}

/** A module that is loaded when something of it is used. */
const lateOf = (open) => new Proxy({}, { get: (_target, key) => open()[key] });
const late = (name) => lateOf(() => load(name));

module.exports = { load, openPack };
if (require.main === module) {
  load('cli.cjs')
    .main(process.argv.slice(2))
    .then((status) => {
      // What Node was asked to write at its end, such as a profile, it writes by its own way.
      const isPlain =
        process.execArgv.length === 0 && !('NODE_OPTIONS' in process.env || 'NODE_V8_COVERAGE' in process.env);
      // After all that wait for the end.
      if (isPlain && addon !== undefined) process.once('exit', () => addon.leave(status));
      process.exit(status);
    });
}
