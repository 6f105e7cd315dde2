/** ONNX models as bytes: the few messages of onnx.proto (IR version 8, opset 17) that the bench of peers needs. */
import type { HostArray } from './protocol.ts';

/** Fields of a message of Protocol Buffers, in the order in which they were added. */
class Message {
  private readonly parts: Uint8Array[] = [];

  number(field: number, value: number): this {
    this.parts.push(varint(field * 8), varint(value));
    return this;
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.parts.push(varint(field * 8 + 5), bytes);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.parts.push(varint(field * 8 + 2), varint(value.length), value);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encoded());
  }

  encoded(): Uint8Array {
    const out = new Uint8Array(this.parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

const FLOAT = 1;
const INT64 = 7;

/** Whole numbers, or a number that is stored as float. */
export type Attribute = readonly number[] | number | { readonly float: number };

/** A graph that grows node by node; its input is `x`, its output what `model` is told. */
export class OnnxGraph {
  private readonly graph = new Message();
  private count = 0;

  /** @returns the name of the node's only output */
  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    const name = `v${this.count++}`;
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    node.text(2, name).text(4, op);
    for (const [key, value] of Object.entries(attributes)) node.message(5, attribute(key, value));
    this.graph.message(1, node);
    return name;
  }

  /** A constant. */
  constant(name: string, { shape, data }: HostArray): string {
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.graph.message(5, dimensions(new Message(), shape).number(2, FLOAT).text(8, name).bytes(9, raw));
    return name;
  }

  /** A constant list of whole numbers. */
  integers(values: readonly number[]): string {
    const name = `v${this.count++}`;
    const raw = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
    this.graph.message(5, dimensions(new Message(), [values.length]).number(2, INT64).text(8, name).bytes(9, raw));
    return name;
  }

  /** The model whose input `x` and output `output` have these shapes. */
  model(input: readonly number[], output: string, shape: readonly number[]): Uint8Array {
    this.graph.text(2, 'bench').message(11, described('x', input)).message(12, described(output, shape));
    return new Message()
      .number(1, 8)
      .message(7, this.graph)
      .message(8, new Message().text(1, '').number(2, 17))
      .encoded();
  }
}

function dimensions(message: Message, shape: readonly number[]): Message {
  for (const extent of shape) message.number(1, extent);
  return message;
}

/** AttributeProto: a float, an integer or integers. */
function attribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === 'number') return message.number(3, value).number(20, 2);
  if ('float' in value) return message.float(2, value.float).number(20, 1);
  for (const item of value) message.number(8, item);
  return message.number(20, 7);
}

/** ValueInfoProto of float32 values. */
function described(name: string, shape: readonly number[]): Message {
  const extents = new Message();
  for (const extent of shape) extents.message(1, new Message().number(1, extent));
  const tensor = new Message().number(1, FLOAT).message(2, extents);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}
