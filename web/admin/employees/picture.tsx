import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { usePicture } from '../picture.ts'
import { api, useMe } from '../session.ts'
import { type Employee, keyOf, type Photo, pathOf } from './people.ts'

const FACTS_MS = 60_000

/** The facts about a person's photos, read once they are wanted. */
export function usePhotos(employeeId: string, isWanted = true) {
  const { may } = useMe()
  return useQuery({
    queryKey: keyOf(employeeId, 'photos'),
    queryFn: () => api<Photo[]>(`${pathOf(employeeId)}/photos`),
    enabled: isWanted && may('biometrics:read'),
    staleTime: FACTS_MS,
  })
}

/** A photo itself. */
export const usePhoto = (employeeId: string, photoId: number | undefined) =>
  usePicture(photoId === undefined ? undefined : `${pathOf(employeeId)}/photos/${photoId}`)

const looks = {
  small: 'size-10 text-sm',
  large: 'size-24 text-3xl',
}

/** The avatar, or the first letters of the name; it is asked for when it comes into view. */
export function Avatar({
  employee: { employee_id, name, ended_at, photos: count },
  size = 'small',
}: {
  employee: Pick<Employee, 'employee_id' | 'name' | 'ended_at'> & Partial<Pick<Employee, 'photos'>>
  size?: keyof typeof looks
}) {
  const place = useRef<HTMLSpanElement>(null)
  const isSeen = useSeen(place)
  // Of those who left there is none any more.
  const { data: photos } = usePhotos(employee_id, isSeen && ended_at === null && count !== 0)
  const avatar = photos?.find(({ is_avatar }) => is_avatar)
  const { url } = usePhoto(employee_id, avatar?.photo_id)
  return (
    <span
      ref={place}
      aria-hidden="true"
      className={`inline-flex shrink-0 items-center justify-center overflow-hidden rounded-full bg-sunken font-medium text-muted ${looks[size]}`}
    >
      {url ? <img src={url} alt="" className="size-full object-cover" /> : initials(name)}
    </span>
  )
}

function useSeen(place: { current: Element | null }): boolean {
  const [isSeen, setSeen] = useState(false)
  useEffect(() => {
    if (isSeen) return
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && setSeen(true),
      { rootMargin: '200px' },
    )
    observer.observe(place.current!)
    return () => observer.disconnect()
  }, [isSeen])
  return isSeen
}

/** NA of Nguyễn Văn An: family name and given name. */
function initials(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== '')
  return [words[0], ...words.slice(1).slice(-1)]
    .map((word) => [...(word ?? '')][0] ?? '')
    .join('')
    .toUpperCase()
}
