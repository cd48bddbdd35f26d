import { diskUsage } from '../../../state/disk-usage.ts';
import { listVolumes, type KeptVolume } from '../../../state/volumes.ts';
import { columns } from '../../../text/columns.ts';
import { safeJson } from '../../../text/safe.ts';
import type { Run } from '../../command.ts';
import { hostFacts } from '../../environment.ts';
import { writeOutput } from '../../output.ts';
import { readableBytes } from '../../../text/sizes.ts';

function rowOf(volume: KeptVolume): readonly string[] {
  const { id, name, folder, folderExists, inUse } = volume;
  const { bytes, complete } = diskUsage(volume.data);
  const place = folder === '' ? '-' : folderExists ? folder : `${folder} (gone)`;
  return [name, `${readableBytes(bytes)}${complete ? '' : '+'}`, inUse ? 'yes' : 'no', id, place];
}

export const volumeLs: Run = (invocation) => {
  const volumes = listVolumes(hostFacts(invocation));
  if (invocation.args.flag('ids')) {
    writeOutput(volumes.map(({ id }) => `${id}\n`).join(''));
  } else if (invocation.args.flag('json')) {
    const objects = volumes.map((volume) => {
      const { bytes, complete } = diskUsage(volume.data);
      return { ...volume, size: bytes, ...(complete ? {} : { sizeIsPartial: true }) };
    });
    writeOutput(`${safeJson(objects, 2)}\n`);
  } else {
    writeOutput(columns([['NAME', 'SIZE', 'IN USE', 'ID', 'FOLDER'], ...volumes.map(rowOf)]));
  }
  return 0;
};
