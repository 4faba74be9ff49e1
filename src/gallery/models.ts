import { setTimeout as sleep } from 'node:timers/promises'
import type { FaceEngine } from '../face/engine.ts'
import type { Logger } from '../shared/log.ts'
import type { Gallery } from './gallery.ts'

/** A pack's networks, and the people as they see them. */
export interface Models {
  engine: FaceEngine
  gallery: Gallery
}

/** The models in use, behind an engine and a gallery that stay the same objects while the pack changes. */
export interface ModelsInUse extends Models {
  /**
   * Puts others in the place of those in use once `commit` resolves, engine and gallery together. From before it on both
   * galleries are kept in step, so that whoever leaves meanwhile is in neither. What rejects leaves those in use, and
   * closes the others.
   */
  replace(next: Models, commit: () => Promise<void>): Promise<void>
  /** Closes those in use and those that are still needed by a request. */
  close(): Promise<void>
}

/** How long a face may take from the networks to the gallery: the longest that a request may take. */
const LINGER_MS = 120_000

export async function closeModels({ engine, gallery }: Models): Promise<void> {
  await gallery.close()
  await engine.close()
}

/**
 * A face that the networks of the former pack saw a moment before the change is looked for in the former gallery: each
 * decision is of one pack as a whole.
 */
export function useModels(first: Models, log: Logger): ModelsInUse {
  let current = first
  /** Those in use, those that are about to be, and former ones that somebody may still need. */
  const kept = new Set<Models>([first])
  /** How much each engine is doing. */
  const busy = new Map<FaceEngine, number>()
  const closing = new AbortController()
  const leaving = new Set<Promise<void>>()

  async function ask<Result>(work: (engine: FaceEngine) => Promise<Result>): Promise<Result> {
    const { engine } = current
    busy.set(engine, (busy.get(engine) ?? 0) + 1)
    try {
      return await work(engine)
    } finally {
      busy.set(engine, busy.get(engine)! - 1)
    }
  }

  /** The gallery of the pack that made a vector; the present one where that is gone, which refuses it. */
  const galleryOf = (pack: string | undefined) =>
    [current, ...kept].find(({ engine }) => engine.pack.name === pack)?.gallery ?? current.gallery

  const everywhere = async (work: (gallery: Gallery) => Promise<void>) => {
    await Promise.all([...kept].map(({ gallery }) => work(gallery)))
  }

  /** Closes former models when nobody needs them any more. */
  async function retire(former: Models): Promise<void> {
    const wait = (ms: number) => sleep(ms, undefined, { ref: false, signal: closing.signal }).catch(() => {})
    while (!closing.signal.aborted && (busy.get(former.engine) ?? 0) > 0) await wait(100)
    await former.engine.close()
    busy.delete(former.engine)
    await wait(LINGER_MS)
    kept.delete(former)
    await former.gallery.close()
  }

  return {
    engine: {
      get pack() {
        return current.engine.pack
      },
      get looksForAttacks() {
        return current.engine.looksForAttacks
      },
      analyse: (...picture) => ask((engine) => engine.analyse(...picture)),
      analyseFrames: (...pictures) => ask((engine) => engine.analyseFrames(...pictures)),
      ready: () => current.engine.ready(),
      works: () => ask((engine) => engine.works()),
      performance: () => current.engine.performance(),
      close: () => current.engine.close(),
    },
    gallery: {
      identify: (votes, top) => galleryOf(votes[0]?.pack).identify(votes, top),
      verify: (vote, employeeId) => galleryOf(vote.pack).verify(vote, employeeId),
      templatesOf: (vote, employeeId) => galleryOf(vote.pack).templatesOf(vote, employeeId),
      nearest: (vote, top) => galleryOf(vote.pack).nearest(vote, top),
      likeness: (pack, one, other) => galleryOf(pack).likeness(pack, one, other),
      refresh: (employeeId) => everywhere((gallery) => gallery.refresh(employeeId)),
      reload: () => everywhere((gallery) => gallery.reload()),
      recalibrated: () => everywhere((gallery) => gallery.recalibrated()),
      calibrate: (change) => current.gallery.calibrate(change),
      settled: () => everywhere((gallery) => gallery.settled()),
      close: () => current.gallery.close(),
      get people() {
        return current.gallery.people
      },
      get templates() {
        return current.gallery.templates
      },
      get unreadable() {
        return current.gallery.unreadable
      },
      get calibration() {
        return current.gallery.calibration
      },
      get limits() {
        return current.gallery.limits
      },
      get normalised() {
        return current.gallery.normalised
      },
    },
    async replace(next, commit) {
      kept.add(next)
      try {
        // What changed since it was opened; what changes from now on reaches it.
        await next.gallery.reload()
        await commit()
      } catch (error) {
        kept.delete(next)
        await closeModels(next)
        throw error
      }
      const former = current
      current = next
      const gone: Promise<void> = retire(former)
        .catch((error) => log.error({ err: error }, 'the former face models could not be closed'))
        .finally(() => leaving.delete(gone))
      leaving.add(gone)
    },
    async close() {
      closing.abort()
      await Promise.all(leaving)
      await closeModels(current)
    },
  }
}
