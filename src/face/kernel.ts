/** The kernels that run.mjs compiles from AssemblyScript. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Node's types leave WebAssembly to the browser's library; this is all that is needed of it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: object }
}

/** A kernel's memory, in pages of 64 KiB. Growing it makes views of its buffer useless. */
export interface KernelMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

const pageBytes = 65_536
/** The compiled kernels: code without state, so that all instances share it. */
const modules = new Map<string, object>()

/**
 * Compiles src/face/`name`.as.ts's WebAssembly, once.
 * @throws Error when it has not been built
 */
export function loadKernel(name: string): object {
  let module = modules.get(name)
  if (!module) {
    const file = new URL(`../../build/${name}.wasm`, import.meta.url)
    try {
      module = new WebAssembly.Module(readFileSync(file))
    } catch (cause) {
      throw new Error(`Cannot load ${fileURLToPath(file)}: run \`npm run build\` first.`, { cause })
    }
    modules.set(name, module)
  }
  return module
}

/** A new instance of a kernel, with a memory of its own. Throws as `loadKernel` does. */
export function instantiateKernel<Exports>(name: string): Exports & { memory: KernelMemory } {
  return new WebAssembly.Instance(loadKernel(name)).exports as Exports & { memory: KernelMemory }
}

/** Makes a kernel's memory at least `bytes` long. Throws RangeError when there is no more. */
export function growTo(memory: KernelMemory, bytes: number): void {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / pageBytes)
  if (missing > 0) memory.grow(missing)
}
