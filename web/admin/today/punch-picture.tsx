import { useQuery } from '@tanstack/react-query'
import { useObjectUrl } from '../../shared/object-url.ts'
import { request, useMe } from '../session.ts'
import type { Punch } from './live-punches.ts'

const round = 'flex size-11 shrink-0 items-center justify-center rounded-full object-cover'

/** The picture of a punch where its site keeps them and the person may see it, else the first letters of the name. */
export function PunchPicture({ punch }: { punch: Punch }) {
  const { may } = useMe()
  const isKept = punch.image_path !== null && may('biometrics:read')
  const picture = useQuery({
    queryKey: ['punch-picture', punch.id],
    queryFn: async () => (await request(`/attendance/${punch.id}/image`)).blob(),
    enabled: isKept,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  })
  const url = useObjectUrl(picture.data)
  if (url) return <img src={url} alt="" className={round} />
  return (
    <span aria-hidden="true" className={`${round} bg-sunken font-medium text-muted text-sm`}>
      {initials(punch.employee_name)}
    </span>
  )
}

/** NA of Nguyễn Văn An: family name and given name. */
function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== '')
  return [words[0], ...words.slice(1).slice(-1)]
    .map((word) => [...(word ?? '')][0] ?? '')
    .join('')
    .toUpperCase()
}
