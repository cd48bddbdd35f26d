#!/usr/bin/env node
// Starts boxctl from its bundle, with V8's code cache beside it: reading and compiling the sources would take longer than
// making the container does. A cache of another Node is not used, and does no harm.
'use strict';

const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
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
const loaded = new Map();
const scripts = new Map();
const nodeRequire = createRequire(join(folder, 'boxctl.cjs'));

function load(name) {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const path = join(folder, name);
  let cachedData;
  try {
    cachedData = readFileSync(`${path}.cache`);
  } catch {
    // Built without one.
  }
  const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(path, 'utf8')}\n})`;
  const script = new Script(source, { filename: path, cachedData });
  const module = { exports: {} };
  loaded.set(name, module);
  scripts.set(path, script);
  script.runInThisContext()(module.exports, requireHere, module, path, folder);
  return module.exports;
}

function requireHere(name) {
  return name.startsWith('./') ? load(name.slice(2)) : nodeRequire(name);
}

module.exports = { load, scripts };
if (require.main === module) {
  load('cli.cjs')
    .main(process.argv.slice(2))
    .then((status) => process.exit(status));
}
