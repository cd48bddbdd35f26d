/** The modules of src/kernel, in any state that the generator has to judge. */
interface Sources {
  readonly calls: { readonly CALLS: object };
  readonly constants: object;
  readonly wire: object;
  readonly layout: object;
}
/** The text of each header by its name in native/wire. Throws where the declaration contradicts itself. */
export function wireHeaders(sources: Sources): Readonly<Record<string, string>>;
