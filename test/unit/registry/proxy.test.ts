/** Which proxy is used for which address. */
import { describe, expect, test } from 'vitest';
import { proxyFor } from '../../../src/registry/proxy.ts';

const HTTPS_PROXY = 'http://proxy.test:3128';
const by = (url: string, env: Readonly<Record<string, string>>): string | undefined =>
  proxyFor(new URL(url), env)?.host;
const exempt = (url: string, NO_PROXY: string): boolean =>
  by(url, { HTTPS_PROXY, HTTP_PROXY: HTTPS_PROXY, NO_PROXY }) === undefined;

describe('a proxy', () => {
  test('is chosen by the scheme of the address', () => {
    const env = { HTTP_PROXY: 'http://plain.test:1', HTTPS_PROXY: 'http://secure.test:2' };
    expect(by('http://r.test/', env)).toBe('plain.test:1');
    expect(by('https://r.test/', env)).toBe('secure.test:2');
    expect(by('https://r.test/', { HTTP_PROXY: 'http://plain.test:1' })).toBeUndefined();
    expect(by('https://r.test/', {})).toBeUndefined();
  });

  test('is named in upper and in lower case, and the upper case counts first', () => {
    expect(by('https://r.test/', { https_proxy: 'http://lower.test:1' })).toBe('lower.test:1');
    expect(by('https://r.test/', { https_proxy: 'http://lower.test:1', HTTPS_PROXY: 'http://upper.test:1' })).toBe(
      'upper.test:1',
    );
    expect(by('https://r.test/', { https_proxy: 'http://lower.test:1', no_proxy: 'r.test' })).toBeUndefined();
  });

  test('can be written without a scheme', () => {
    expect(by('https://r.test/', { HTTPS_PROXY: 'proxy.test:3128' })).toBe('proxy.test:3128');
    expect(by('https://r.test/', { HTTPS_PROXY: 'name:secret@proxy.test:3128' })).toBe('proxy.test:3128');
  });

  test('of another kind than HTTP is refused, without its password', () => {
    for (const value of ['socks5://name:secret@proxy.test:1080', 'ftp://secret@x', 'http://', 'http://[secret']) {
      const read = (): unknown => by('https://r.test/', { HTTPS_PROXY: value });
      expect(read).toThrow(/HTTPS_PROXY is no address of an HTTP proxy/u);
      expect(read).not.toThrow(/secret/u);
    }
  });

  test.each(['http://localhost:5000/', 'https://127.0.0.1/', 'https://127.8.9.1:5000/', 'https://[::1]:5000/'])(
    'is never used for %s',
    (url) => {
      expect(by(url, { HTTPS_PROXY, HTTP_PROXY: HTTPS_PROXY })).toBeUndefined();
    },
  );
});

describe('NO_PROXY', () => {
  test.each([
    ['https://r.test/', '*'],
    ['https://r.test/', 'other.test, r.test'],
    ['https://r.test/', 'other.test r.test'],
    ['https://R.Test/', 'r.test'],
    ['https://r.test/', 'R.TEST'],
    ['https://a.r.test/', 'r.test'],
    ['https://a.b.r.test/', '.r.test'],
    ['https://a.r.test/', '*.r.test'],
    ['https://r.test:5000/', 'r.test'],
    ['https://r.test:5000/', 'r.test:5000'],
    ['https://r.test/', 'r.test:443'],
    ['http://r.test/', 'r.test:80'],
    ['https://10.1.2.3/', '10.1.2.3'],
    ['https://10.1.2.3:5000/', '10.1.2.3:5000'],
    ['https://10.1.2.3/', '10.0.0.0/8'],
    ['https://[2001:db8::5]/', '2001:db8::5'],
    ['https://[2001:db8::5]:5000/', '[2001:db8::5]:5000'],
    ['https://[2001:db8::5]/', '2001:db8::/32'],
    ['https://r.test./', 'r.test'],
  ])('has %s in %s', (url, words) => {
    expect(exempt(url, words)).toBe(true);
  });

  test.each([
    ['https://r.test/', ''],
    ['https://r.test/', ' , '],
    ['https://r.test/', 'test.other'],
    ['https://xr.test/', 'r.test'],
    ['https://r.test/', '.r.test'],
    ['https://r.test/', '*.r.test'],
    ['https://r.test/', 'r.test:5000'],
    ['https://r.test:5000/', 'r.test:443'],
    ['https://11.1.2.3/', '10.0.0.0/8'],
    ['https://10.1.2.3/', '10.1.2.30'],
    ['https://10.1.2.3/', '1.2.3'],
    ['https://r.test/', '10.0.0.0/8'],
    ['https://r.test/', '10.0.0.0/99'],
    ['https://[2001:db9::5]/', '2001:db8::/32'],
  ])('does not have %s in %s', (url, words) => {
    expect(exempt(url, words)).toBe(false);
  });
});
