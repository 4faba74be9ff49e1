import '../../shared/no-telemetry.ts'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { AppError } from '../../shared/errors.ts'

/** A loaded network. */
export interface Network {
  /** Names of the outputs, in the model's own order. */
  outputs: readonly string[]
  /** The number of pictures that a run takes, where the model fixes it; null where any will do. */
  batch: number | null
  /**
   * Runs the network once, on the calling thread: it is held until the network is done. `shape` is that of `input`, batch first.
   * Resolves to the values of each output by name; rejects with `model_failure` when the network fails or
   * answers something that is not a finite number, or only zeros, so that a broken model never becomes a score.
   */
  run(input: Float32Array, shape: number[]): Promise<Record<string, Float32Array>>
  close(): Promise<void>
}

/** How every session is made; public for the benchmark, which times them alone. */
export const sessionOptions: InferenceSession.SessionOptions = {
  // Several checks run side by side: one thread each serves more of them than two threads for one.
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  extra: { session: { intra_op: { allow_spinning: '0' } } },
  logSeverityLevel: 3,
}

/** Loads an ONNX model and checks that it has the outputs it should have; all of its own where none are named. */
export async function openNetwork(name: string, model: Uint8Array, wanted?: string[]): Promise<Network> {
  const session = await InferenceSession.create(model, sessionOptions)
  const outputs = wanted ?? session.outputNames
  const missing = outputs.filter((output) => !session.outputNames.includes(output))
  if (missing.length > 0) throw new Error(`the model ${name} lacks the outputs ${missing.join(', ')}`)
  const inputName = session.inputNames[0]
  const [input] = session.inputMetadata
  const batch = input.isTensor && typeof input.shape[0] === 'number' ? input.shape[0] : null

  return {
    outputs,
    batch,
    async run(input, shape) {
      try {
        const results = await session.run({ [inputName]: new Tensor('float32', input, shape) }, outputs)
        return Object.fromEntries(
          outputs.map((output) => [output, finite(results[output].data as Float32Array)]),
        )
      } catch (cause) {
        throw new AppError('model_failure', `The face model ${name} failed; try again.`, {}, cause)
      }
    },
    close: () => session.release(),
  }
}

/** A broken network answers what is no number, or nothing but zeros: neither may ever become a score. */
function finite(values: Float32Array): Float32Array {
  let something = false
  for (const value of values) {
    if (!Number.isFinite(value)) throw new Error('an output is not a finite number')
    something ||= value !== 0
  }
  if (!something) throw new Error('an output is all zeros')
  return values
}
