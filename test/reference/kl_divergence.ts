import { type Dense, rowsOf, zeros } from './dense.ts';
import { logSoftmax } from './softmax.ts';

const scaled = (x: Dense, temperature: number): Dense => ({ shape: x.shape, data: x.data.map((v) => v / temperature) });

/**
 * (1 / rows) sum over rows and j of P_t (log P_t - log P_s), P_t = softmax(teacher / temperatureT), P_s = softmax(student / temperatureS).
 * ACTION's distillation (You et al. 2023); torch.nn.functional.kl_div(log P_s, log P_t, reduction='batchmean', log_target=True).
 */
export function klDivergence(teacher: Dense, student: Dense, temperatureT: number, temperatureS: number): number {
  const [rows] = rowsOf(teacher);
  const logT = logSoftmax(scaled(teacher, temperatureT));
  const logS = logSoftmax(scaled(student, temperatureS));
  let sum = 0;
  for (let i = 0; i < logT.data.length; i++) sum += Math.exp(logT.data[i]) * (logT.data[i] - logS.data[i]);
  return sum / rows;
}

/** d loss / d student = (P_s - P_t) / (temperatureS rows). The teacher takes no gradient. */
export function klDivergenceGrad(teacher: Dense, student: Dense, temperatureT: number, temperatureS: number): Dense {
  const [rows] = rowsOf(teacher);
  const logT = logSoftmax(scaled(teacher, temperatureT));
  const logS = logSoftmax(scaled(student, temperatureS));
  const dx = zeros(student.shape);
  for (let i = 0; i < dx.data.length; i++)
    dx.data[i] = (Math.exp(logS.data[i]) - Math.exp(logT.data[i])) / temperatureS / rows;
  return dx;
}
