/** The protobuf wire format: a field is its number and wire type, then a varint, 8 or 4 bytes, or a length and bytes. */

export const integer = (field: number, value: number) => message([varint(field * 8), varint(value)])
export const text = (field: number, value: string) => bytes(field, new TextEncoder().encode(value))
export const float = (field: number, value: number) =>
  message([varint(field * 8 + 5), new Uint8Array(Float32Array.of(value).buffer)])

export const bytes = (field: number, value: Uint8Array) => message([heading(field, value.length), value])
export const message = (parts: Uint8Array[]): Uint8Array => Buffer.concat(parts)

/** What stands before the bytes of a text or message. */
export const heading = (field: number, length: number) => message([varint(field * 8 + 2), varint(length)])

function varint(value: number): Uint8Array {
  const out: number[] = []
  let rest = value
  while (rest > 127) {
    out.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  out.push(rest)
  return Uint8Array.from(out)
}

/** One field of a message. */
export interface Field {
  number: number
  /** What it holds: a number, or the bytes of a text or of a message. */
  value: number | Uint8Array
  /** The whole field, as it stands in the message. */
  bytes: Uint8Array
}

/** Splits a message into its fields, whether their numbers are known or not. Throws an Error when it is none. */
export function readFields(message: Uint8Array): Field[] {
  const fields: Field[] = []
  let at = 0
  while (at < message.length) {
    const from = at
    const key = readVarint()
    fields.push({
      number: Math.floor(key / 8),
      value: readValue(key % 8),
      bytes: message.subarray(from, at),
    })
  }
  return fields

  function readValue(wireType: number): number | Uint8Array {
    if (wireType === 0) return readVarint()
    if (wireType === 1) return take(8)
    if (wireType === 2) return take(readVarint())
    if (wireType === 5) return take(4)
    throw new Error(`a field of a model has the unknown wire type ${wireType}`)
  }

  function readVarint(): number {
    let result = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = take(1)[0]
      result += (byte & 127) * factor
      if (byte < 128) return result
    }
  }

  function take(length: number): Uint8Array {
    if (at + length > message.length) throw new Error('a model ends in the middle of a field')
    at += length
    return message.subarray(at - length, at)
  }
}

/** The texts in the fields of a number. */
export function textsOf(fields: readonly Field[], number: number): string[] {
  return fields.flatMap((field) =>
    field.number === number && typeof field.value !== 'number' ? [Buffer.from(field.value).toString()] : [],
  )
}
