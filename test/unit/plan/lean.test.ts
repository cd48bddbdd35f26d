import { expect, test } from 'vitest';
import { isLean } from '../../../src/plan/lean.ts';
import { FILE, ROOT_NETWORK_HOST } from '../../support/network-plans.ts';
import { planOf } from '../../support/plan.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';

test('root’s container needs no mount of the host once its first process is there, whatever it has of the host', () => {
  for (const more of ['', 'volumes: [./:/w]\n', 'tmpfs: [/tmp]\n', 'read_only: true\n']) {
    expect([more, isLean(planOf(`${FILE}${more}`, ROOT_NETWORK_HOST))]).toEqual([more, true]);
  }
});

test('an ordinary user’s container takes the image from the host’s mounts, and one without mounts of its own keeps them', () => {
  expect(isLean(planOf(FILE, USER_HOST))).toBe(false);
  expect(isLean(planOf('name: box\ncommand: [sh]\nnamespaces: {mount: host}\n', ROOT_HOST))).toBe(false);
});
