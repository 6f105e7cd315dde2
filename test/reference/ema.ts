/** teacher <- decay teacher + (1 - decay) student, in place. */
export function ema(teacher: Float64Array, student: Float64Array, decay: number): void {
  for (let i = 0; i < teacher.length; i++) teacher[i] = decay * teacher[i] + (1 - decay) * student[i];
}
