import { MIN_COMPARED_QUALITY } from '../gallery/faults.ts'
import { voteOf } from '../gallery/gallery.ts'
import type { Checks } from '../gallery/pack-comparison.ts'
import { findKey, unreadable } from '../gallery/person-key.ts'
import type { Clock } from '../shared/clock.ts'
import { SealBroken } from '../vault/seal.ts'
import { CANDIDATES } from './check-in.ts'
import { decide } from './decide.ts'
import { keptPictures, type PictureDeps } from './pictures.ts'

/** What a comparison of two model packs is told of check-ins. */
export function pastChecks({ db, photos, vault, clock }: PictureDeps & { clock: Clock }): Checks {
  return {
    async pictures(since, limit) {
      const kept = await keptPictures(db, since, clock.now(), limit)
      return kept.map(({ decisionId, employeeId, claimed, imagePath }) => ({
        decisionId,
        claimed: claimed ?? undefined,
        read: async () => {
          const key = employeeId === null ? undefined : await findKey(vault, db, employeeId)
          try {
            return await photos.read(imagePath, key ?? (await vault.named('probes')))
          } catch (error) {
            throw error instanceof SealBroken ? unreadable(employeeId ?? 'nobody known', error) : error
          }
        },
      }))
    },

    // The rule of a single picture, whatever is said of presentation attacks: that is not the pack's doing.
    identify(gallery, analysis, claimed) {
      if (analysis.kind !== 'face') return undefined
      const { candidates, threshold, dissent } = gallery.identify([voteOf(analysis.face)], CANDIDATES)
      const decision = decide(
        {
          picture: { kind: 'face', quality: analysis.face.quality.score },
          liveness: 'unavailable',
          candidates,
          dissent,
          claimed,
          candidateIsActive: true,
          requested: 'IN',
          now: clock.now(),
        },
        {
          threshold,
          minQuality: MIN_COMPARED_QUALITY,
          padPolicy: 'off',
          duplicateWindowMs: 0,
        },
      )
      return decision.outcome === 'identified' ? decision.employeeId : undefined
    },
  }
}
