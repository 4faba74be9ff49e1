import { useQuery } from '@tanstack/react-query'
import type { calibrationSchema, pastCalibrationSchema } from '../../../src/gallery/calibration-schema.ts'
import type { modelsStatusSchema } from '../../../src/gallery/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { api, apiList } from '../session.ts'

export type Calibration = Answer<typeof calibrationSchema>
export type PastCalibration = Answer<typeof pastCalibrationSchema>

/** The newest calibration of the pack in use, null where there is none yet; and all that there were, newest first. */
export function useCalibration() {
  const history = useQuery({
    queryKey: ['calibrations'],
    queryFn: () => apiList<PastCalibration>('/recognition/calibration/history', { query: { limit: 100 } }),
  })
  const newest = useQuery({
    queryKey: ['calibration'],
    queryFn: async () => {
      // Asked for where there is one: to find none would be an error on the browser's console.
      const { pack } = await api<Answer<typeof modelsStatusSchema>>('/recognition/models/status')
      const { rows } = await apiList<PastCalibration>('/recognition/calibration/history', {
        query: { limit: 1000 },
      })
      return rows.some((one) => one.pack === pack) ? api<Calibration>('/recognition/calibration') : null
    },
  })
  return { newest, history }
}
