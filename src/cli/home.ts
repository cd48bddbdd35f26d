export { homeOf } from '../inputs/home.ts';
