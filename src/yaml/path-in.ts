/** Paths of values in a document, such as `limits.memory` or `volumes.3.target`: a wrong one is a type error. */

type Leaf = string | number | boolean | null;

/** The paths of the values in T. Items of lists are numbered, and keys of maps can be any text. */
export type PathIn<T> = T extends Leaf
  ? never
  : T extends readonly (infer Item)[]
    ? `${number}` | `${number}.${PathIn<Item>}`
    : { [Key in keyof T & string]: Key | `${Key}.${PathIn<NonNullable<T[Key]>>}` }[keyof T & string];
