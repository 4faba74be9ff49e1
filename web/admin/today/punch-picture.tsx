import { Avatar } from '../employees/picture.tsx'
import { usePicture } from '../picture.ts'
import { useMe } from '../session.ts'
import type { Punch } from './live-punches.ts'

/** The picture of a punch where its site keeps them and the person may see it, else that of who it was. */
export function PunchPicture({ punch }: { punch: Punch }) {
  const { may } = useMe()
  const isKept = punch.image_path !== null && may('biometrics:read')
  const { url, isFetching } = usePicture(isKept ? `/attendance/${punch.id}/image` : undefined)
  if (url) return <img src={url} alt="" className="size-10 shrink-0 rounded-full object-cover" />
  if (isFetching) return <span className="size-10 shrink-0 rounded-full bg-sunken" />
  return <Avatar employee={{ employee_id: punch.employee_id, name: punch.employee_name, ended_at: null }} />
}
