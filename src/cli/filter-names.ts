/** The filters of `ps`; container-filter.ts says what each is. */
export const FILTER_NAMES = [
  'name',
  'id',
  'status',
  'label',
  'ancestor',
  'exited',
  'volume',
  'network',
  'mode',
] as const;
