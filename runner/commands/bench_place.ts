/** Where and when a measurement was made: a number without it is worth nothing. */
import type { OpenedGpu } from '../host/node.ts';
import { installedPackage, ownVersion } from '../host/packages.ts';

export interface Place {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly adapter: string;
  readonly backend: string;
  readonly software: boolean;
  /** The driver's own text. */
  readonly driver: string;
  readonly action3d: string | null;
  /** npm webgpu, which is Dawn. */
  readonly webgpu: string | null;
  readonly node: string;
  readonly platform: string;
}

export function placeOf({ name, backend, software, adapter }: OpenedGpu, now = new Date()): Place {
  return {
    date: now.toISOString().replace(/\.\d+Z$/, 'Z'),
    ...{ adapter: name, backend, software, driver: adapter.info.description },
    action3d: ownVersion() ?? null,
    webgpu: installedPackage('webgpu')?.version ?? null,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
}

/** The first line of every table. */
export function placeText(place: Place): string {
  const driver = place.driver ? `, ${place.driver}` : '';
  const versions = `action3d ${place.action3d ?? '?'}, webgpu ${place.webgpu ?? '?'}, node ${place.node}`;
  return `${place.adapter} (${place.backend}${driver}) · ${place.date} · ${versions}, ${place.platform}`;
}
