import type { Triple } from '../shape.ts';
import { fanIn, kaimingNormal, normal, ones, transposedFanIn, values, zeros } from './init.ts';
import type { ParameterSpec } from './parameter_layout.ts';
import type { UnetSettings } from './unet3d_config.ts';

/**
 * The parameters of a U-Net, in forward order: `encoder.<level>.<block>.conv.weight`, `.norm.{weight,bias}`,
 * `decoder.<level>.up.{weight,bias}`, `decoder.<level>.<block>...`, `head.{weight,bias}`. A convolution has a bias only
 * where no norm follows. Kaiming normal for the activation's slope, the head normal with std 0.1,
 * biases zero but for `headBias`.
 */
export function unetSpecs(s: UnetSettings): ParameterSpec[] {
  const slope = s.activation === 'leaky_relu' ? s.slope : 0;
  const specs: ParameterSpec[] = [];
  const blocks = (at: string, kernel: Triple, cin: number, cout: number) => {
    for (let block = 0; block < s.blocksPerLevel; block++) {
      const shape = [...kernel, block === 0 ? cin : cout, cout];
      specs.push({ name: `${at}.${block}.conv.weight`, shape, init: kaimingNormal(fanIn(shape), slope) });
      specs.push(...normSpecs(s, `${at}.${block}`, cout));
    }
  };
  s.channels.forEach((channels, level) => {
    blocks(`encoder.${level}`, s.kernels[level], level === 0 ? s.inChannels : s.channels[level - 1], channels);
  });
  for (let level = s.channels.length - 2; level >= 0; level--) {
    const [here, below] = [s.channels[level], s.channels[level + 1]];
    if (s.up === 'transposed') {
      const shape = [...s.strides[level], below, here];
      specs.push({ name: `decoder.${level}.up.weight`, shape, init: kaimingNormal(transposedFanIn(shape), slope) });
      specs.push({ name: `decoder.${level}.up.bias`, shape: [here], init: zeros });
    }
    blocks(`decoder.${level}`, s.kernels[level], here + (s.up === 'transposed' ? here : below), here);
  }
  specs.push({ name: 'head.weight', shape: [1, 1, 1, s.channels[0], s.classes], init: normal(0.1) });
  specs.push({ name: 'head.bias', shape: [s.classes], init: s.headBias.length > 0 ? values(s.headBias) : zeros });
  return specs;
}

function normSpecs({ norm }: UnetSettings, at: string, channels: number): ParameterSpec[] {
  const shape = [channels];
  if (norm === 'none') return [{ name: `${at}.conv.bias`, shape, init: zeros }];
  const affine = [
    { name: `${at}.norm.weight`, shape, init: ones },
    { name: `${at}.norm.bias`, shape, init: zeros },
  ];
  if (norm !== 'batch') return affine;
  return [
    ...affine,
    { name: `${at}.norm.running_mean`, shape, init: zeros, buffer: true },
    { name: `${at}.norm.running_variance`, shape, init: ones, buffer: true },
  ];
}
