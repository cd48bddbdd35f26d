/** `mac_address`: the hardware address of the container's interface. */
import { clip, addProblem, type Context } from '../context.ts';

/** Returns the address in lower case with colons; undefined for none, or for a wrong one, which is reported. */
export function normaliseMac(context: Context, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const refuse = (message: string, hint: string): undefined =>
    addProblem(context, 'mac_address', 'E_SPEC_ADDRESS', message, { hint });
  const example = 'six bytes in hexadecimal, such as 02:42:ac:11:00:03';
  if (!/^[0-9a-f]{2}(?:(?::[0-9a-f]{2}){5}|(?:-[0-9a-f]{2}){5})$/iu.test(text)) {
    return refuse(`"${clip(text)}" is not a hardware address`, example);
  }
  const mac = text.toLowerCase().replaceAll('-', ':');
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1) {
    return refuse(`"${clip(text)}" is an address of many: its first byte is odd`, example);
  }
  if (mac === '00:00:00:00:00:00') return refuse(`"${clip(text)}" is no address of an interface`, example);
  return mac;
}
