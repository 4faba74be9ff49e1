import { useQuery } from '@tanstack/react-query'
import { useObjectUrl } from '../shared/object-url.ts'
import { request } from './session.ts'

/** A face that is no longer shown is soon forgotten. */
const KEPT_MS = 60_000

/**
 * A picture below /api/v1, as a blob and as an address for `<img>`: the API's own address alone would not say who asks.
 * Without a path nothing is asked for.
 */
export function usePicture(path: string | undefined) {
  const { data, isFetching } = useQuery({
    queryKey: ['picture', path],
    queryFn: async () => (await request(path!)).blob(),
    enabled: path !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: KEPT_MS,
    retry: false,
  })
  return { blob: data, url: useObjectUrl(data), isFetching }
}
