/** What a container was given for its run, and no other container has meanwhile. Ids are all of it so far. */
export interface Claims {
  /** Where the ids of `uid_map: auto` begin in the pool of `autoPool`. */
  readonly ids?: { readonly offset: number };
}
