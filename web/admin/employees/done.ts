import { useQueryClient } from '@tanstack/react-query'
import { useToast } from '../../shared/toast.tsx'
import { type Employee, keyOf } from './people.ts'

/** Reads all of a person anew, and the lists that they are in. */
export function useReadAnew({ employee_id }: Employee) {
  const queries = useQueryClient()
  return () => {
    queries.invalidateQueries({ queryKey: keyOf(employee_id) })
    queries.invalidateQueries({ queryKey: ['employees'] })
  }
}

/** What every act on a person does when it is done: reads all of them anew, says so, and closes what asked for it. */
export function useDone(employee: Employee, onClose: () => void) {
  const tell = useToast()
  const readAnew = useReadAnew(employee)
  return (text: string) => {
    readAnew()
    tell(text)
    onClose()
  }
}
