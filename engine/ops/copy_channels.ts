import { copyChannelsKernel } from '../../shaders/copy_channels.wgsl.ts';
import type { Recording } from '../recording.ts';
import { padChannels } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/** Which channels go where: `length` channels of x from `from` on, behind `lead` zeros, fill `width` stored channels of y from `to` on. */
export interface ChannelWindow {
  from: number;
  to: number;
  lead: number;
  length: number;
  /** Stored channels of y this copy writes, zeros included. */
  width: number;
}

/** Appends one copy of channels between tensors of equally many rows; moves vec4 units where the window allows it. */
export function copyChannels(rec: Recording, x: Tensor, y: Tensor, w: ChannelWindow): void {
  // Padding behind x's last channel is zero, so a window that ends there may be rounded up.
  const length = w.from + w.length === channels(x) ? padChannels(w.from + w.length) - w.from : w.length;
  const fits = w.lead + length <= w.width;
  const units = [w.from, w.to, w.lead, w.width, length].every((n) => n % 4 === 0) && fits ? 4 : 1;
  const count = (rows(x) * w.width) / units;
  rec.dispatch(
    copyChannelsKernel(units === 4 ? 'vec4f' : 'f32'),
    { x, y },
    {
      count,
      width: w.width / units,
      x_pitch: x.pitch / units,
      y_pitch: y.pitch / units,
      read_at: w.from / units,
      write_at: w.to / units,
      lead: w.lead / units,
      length: (units === 4 ? length : w.length) / units,
    },
    count,
  );
}
