import { useQuery } from '@tanstack/react-query'
import type { switchSchema } from '../../../src/gallery/model-switch-schema.ts'
import type { Answer } from '../../shared/api.ts'
import { api } from '../session.ts'

export type Change = Answer<typeof switchSchema>

const LOOK_MS = 1500
const isOpen = ({ state }: Change) => state === 'embedding' || state === 'ready'

/** All changes of the models, newest first; the one under way is looked at often. */
export function useSwitches() {
  const switches = useQuery({
    queryKey: ['switches'],
    queryFn: () => api<Change[]>('/recognition/models/switches'),
    refetchInterval: ({ state }) => (state.data?.some(isOpen) ? LOOK_MS : false),
  })
  return { switches, open: switches.data?.find(isOpen) }
}
