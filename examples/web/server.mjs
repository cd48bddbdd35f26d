// Serves the files of /site.
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

const server = createServer(({ url = '/' }, response) => {
  const path = normalize(decodeURIComponent(new URL(url, 'http://site').pathname));
  const file = createReadStream(join('/site', path.endsWith('/') ? `${path}index.html` : path));
  file.once('open', () => {
    response.writeHead(200, { 'content-type': path.endsWith('.txt') ? 'text/plain' : 'text/html' });
    file.pipe(response);
  });
  file.once('error', () => response.writeHead(404).end('not found\n'));
});
// The first process has no default for a signal.
process.on('SIGTERM', () => process.exit(0));
server.listen(80, () => console.log('serving'));
